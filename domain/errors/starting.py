"""What keeps the service, or one of its plugins, from starting."""

from keycairn.domain.errors.root import KeycairnError


class SettingsError(KeycairnError):
    """A setting cannot be used. One plain sentence, names the variable, never its value when it is a secret."""

    code = "bad_setting"
    remedy = "Correct the named setting."


class MissingDatabaseError(SettingsError):
    """There was a database, as `trace` shows, and there is none. It is not made anew in silence."""

    code = "database_missing"
    remedy = "Mount or bring back the database, or restore a backup; `serve --new-database` begins anew."

    def __init__(self, where: str, trace: str) -> None:
        super().__init__(
            f"The database {where} is gone, although {trace} shows that there was one: mount it, bring it back, or "
            "restore a backup; to begin with an empty one on purpose, use `keycairn serve --new-database`."
        )


class DataFolderError(KeycairnError):
    """A file of the data folder cannot be written. Names it and says why."""

    code = "data_folder"
    remedy = "Make the data folder writable for the service's user."

    def __init__(self, file: object, error: OSError) -> None:
        super().__init__(f"{file} cannot be written: {error.strerror}.")


class CannotListenError(KeycairnError):
    """The address cannot be listened on."""

    code = "cannot_listen"
    remedy = "Free the port, or choose another with `KEYCAIRN_PORT`."

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"Cannot listen on {host} port {port}: {why}. Choose another with KEYCAIRN_PORT.")


class PluginError(KeycairnError):
    """A provider plugin is not usable. Names the plugin."""

    code = "plugin_error"
    remedy = "See `keycairn plugins`; update or remove the plugin."
