"""How far networks of finite width that learn features are from their limit, without training one."""
