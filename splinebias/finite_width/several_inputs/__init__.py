"""What is predicted of finite networks of several inputs; expectations are means over sampled units."""
