"""The loop IR: types, operations, text, evaluator and dependences."""
