"""One module a command, imported when it is called: parse, build, execute. No decisions here."""
