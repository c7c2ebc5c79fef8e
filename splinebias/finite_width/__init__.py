"""Errors and movements of networks of finite width, predicted without training one."""
