"""What any function would cost the neurons of a problem.

How the cheapest interpolant is found belongs to `limit`.
"""
