"""Laws and initializations as the plain tables that TOML files hold; nothing here draws or integrates."""
