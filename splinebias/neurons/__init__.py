"""How single neurons with two slopes move when the residuals are given: exactly, kinks at samples included.

Pure steps on arrays; what makes the residuals, and how long they may be taken as given, is not known here.
"""
