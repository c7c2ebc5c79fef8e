"""Networks of finite width: values, first-order structure, exact export.

How they move belongs to `training`.
"""
