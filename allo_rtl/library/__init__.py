"""Kernels of common layers and arrays, written in the kernel language, with schedules.

``KERNEL2SCHEDULE`` has, for each kernel with a predefined schedule, the function that applies it
to a :class:`~allo_rtl.schedule.schedule.Schedule` and returns that.  ``s.compose(kernel)`` uses it.
"""

from collections.abc import Callable
from typing import Any

from allo_rtl.library import gemv, nn, systolic
from allo_rtl.schedule.schedule import Schedule

KERNEL2SCHEDULE: dict[Callable[..., Any], Callable[[Schedule], Schedule]] = {
    nn.linear2d: nn.schedule_linear2d,
    nn.linear3d: nn.schedule_linear3d,
    nn.relu2d: nn.schedule_relu2d,
    nn.relu3d: nn.schedule_relu3d,
    nn.relu4d: nn.schedule_relu4d,
    nn.softmax: nn.schedule_softmax,
    nn.log_softmax: nn.schedule_log_softmax,
    nn.layer_norm: nn.schedule_layernorm,
    nn.GeLU: nn.schedule_gelu,
    nn.modulate_fused: nn.schedule_modulate_fused,
    nn.conv2d: nn.schedule_conv2d,
    nn.maxpool2d: nn.schedule_maxpool2d,
    nn.avgpool2d: nn.schedule_avgpool2d,
    nn.batchnorm2d: nn.schedule_batchnorm2d,
    nn.batchnorm1d_2d: nn.schedule_batchnorm1d_2d,
    nn.batchnorm1d_3d: nn.schedule_batchnorm1d_3d,
    nn.repeat_batch3d: nn.schedule_repeat_batch3d,
    nn.concat: nn.schedule_concat,
    systolic.systolic: systolic.schedule_systolic,
    systolic.packed_systolic: systolic.schedule_systolic,
    systolic.packed_int8xint8_systolic: systolic.schedule_systolic,
    gemv.int8xint8_mat_vec: gemv.schedule_int8xint8_mat_vec,
}
