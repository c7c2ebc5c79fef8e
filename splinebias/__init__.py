"""splinebias: the function that a wide shallow network on the line converges to, exact, and the network beside it.

The public names stand in `__init__.pyi`, each with its module, and are imported when they are first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
