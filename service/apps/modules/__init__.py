"""Where modules of apps are whose plain name is somebody else's, too.

The ``helpers.py`` of the app in ``/srv/sales`` is ``service.apps.modules.sales.helpers`` here, when another
app has one as well. Nothing else is in this package; see :mod:`service.apps.app_directories`.
"""

from service.apps.imports import adopt

# A child process may come here first, when it unpickles an object of such a module.
adopt()
