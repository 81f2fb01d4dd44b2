"""Settings from the command line, the environment, `bff.toml` and defaults, in order of precedence. Read at start-up.

Each feature defines its options; here they are combined and named. The application determines the names and defaults of the
settings of sources and variants. An unknown key or a value out of range is an error at start-up that names the setting.
Messages never contain the value of a secret.
"""

from bff.settings.load import app_named as app_named
from bff.settings.load import load as load
from bff.settings.model import Settings as Settings
from bff.settings.model import settings_class as settings_class
from bff.settings.values import NAME as NAME
from bff.settings.values import SettingsError as SettingsError
from bff.settings.variants import VariantSettings as VariantSettings
