"""Finding a kernel's source and the outer names it may use."""

import doctest
import linecache

import pytest

from allo_rtl.errors import LanguageError
from allo_rtl.frontend.capture import Source, capture
from allo_rtl.frontend.lower import lower_kernel
from allo_rtl.ir.evaluate import evaluate
from allo_rtl.ir.types import int32

OFFSET = 1


def plain(x: int32) -> int32:
    return x + OFFSET


def test_columns_and_lines_are_those_of_the_file():
    def nested(x: int32) -> int32:
        """An indented definition, with text that

    is not indented.
        """
        return x

    kernel = capture(nested)
    last = kernel.node.body[-1]
    assert last.lineno == nested.__code__.co_firstlineno + 5
    loc = kernel.source.loc(last)
    assert (loc.file, loc.line, loc.col, loc.end_col) == (__file__, last.lineno, 9, 17)
    assert loc.text == "        return x"


def test_source_gives_no_text_for_other_lines():
    source = Source("k.py", ("a", "b"), 5)
    assert [source.line(n) for n in (4, 5, 6, 7)] == ["", "a", "b", ""]


def test_given_names_come_before_globals():
    assert evaluate(lower_kernel(plain), [1]) == (2,)
    assert evaluate(lower_kernel(plain, global_vars={"OFFSET": 10}), [1]) == (11,)


def first_of(A: int32[OFFSET + 2]) -> int32:
    return A[OFFSET]


def test_given_names_are_also_those_of_annotations():
    assert str(lower_kernel(first_of).top_func.args[0].type) == "int32[3]"
    given = lower_kernel(first_of, global_vars={"OFFSET": 3})
    assert str(given.top_func.args[0].type) == "int32[5]"


def test_closure_comes_before_globals():
    OFFSET = 100

    def kernel(x: int32) -> int32:
        return x + OFFSET

    assert evaluate(lower_kernel(kernel), [1]) == (101,)


def test_arguments_may_use_names_that_only_python_has_evaluated():
    def make(n):
        def kernel(A: int32[n], x: int32) -> (int32[n], int32):
            return A, x

        return kernel

    func = lower_kernel(make(3)).top_func
    assert [str(a.type) for a in func.args] == ["int32[3]", "int32"]
    assert [str(t) for t in func.results] == ["int32[3]", "int32"]


def test_a_kernel_typed_into_a_notebook_cell():
    text = "def cell(x: int32) -> int32:\n    return x * 3\n"
    linecache.cache["<cell 1>"] = (len(text), None, text.splitlines(keepends=True), "<cell 1>")
    scope = {"int32": int32}
    exec(compile(text, "<cell 1>", "exec"), scope)
    module = lower_kernel(scope["cell"])
    assert evaluate(module, [5]) == (15,)
    assert str(module.top_func.loc) == "<cell 1>:1:1"


def test_a_kernel_typed_into_a_doctest():
    text = """
    >>> def example(x: int32) -> int32:
    ...     return x - 1
    >>> evaluate(lower_kernel(example), [5])
    (4,)
    """
    names = {"int32": int32, "evaluate": evaluate, "lower_kernel": lower_kernel}
    test = doctest.DocTestParser().get_doctest(text, names, "typed", "typed.txt", 0)
    assert doctest.DocTestRunner(verbose=False).run(test).failed == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "the text defines 0 functions\n  allowed: exactly one function"),
        (
            "def f(:\n    pass\n",
            "<kernel>:1:7: error: this is not Python: invalid syntax\n"
            "    1 | def f(:\n"
            "      |       ^",
        ),
    ],
)
def test_a_text_that_is_no_function(text, message):
    with pytest.raises(LanguageError) as caught:
        capture(text, {})
    assert str(caught.value) == message


def test_a_lambda_is_no_kernel():
    kernel = lambda x: x  # noqa: E731
    with pytest.raises(LanguageError, match=r"^no 'def' found for '<lambda>' at .*:\d+\n  hint"):
        capture(kernel)


def endless(x: int32) -> int32:
    return endless(x)


def test_recursion_is_found_through_the_name_in_the_module():
    with pytest.raises(LanguageError, match="the kernel 'endless' calls itself"):
        lower_kernel(endless)


def test_a_name_of_the_kernel_around_is_not_mistaken_for_an_outer_one():
    def kernel(x: int32) -> int32:
        OFFSET = x

        def inner(y: int32) -> int32:
            return y + OFFSET

        return inner(OFFSET)

    with pytest.raises(LanguageError, match="'OFFSET' is a variable of the kernel around 'inner'"):
        lower_kernel(kernel)
