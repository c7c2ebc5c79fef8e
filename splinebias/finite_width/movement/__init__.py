"""How far hidden weights move while a wide network is trained; errors of networks are one folder up."""
