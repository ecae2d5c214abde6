"""From the scheduled loop IR to a timed design: banking, operation schedules, reports."""
