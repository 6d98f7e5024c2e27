"""`tailrace migrate`."""

import typer


def migrate() -> None:
    """Bring the database to the schema of this version; `tailrace serve` does it too."""
    from tailrace import migrations
    from tailrace.bootstrap import open_database, prepare_folder
    from tailrace.settings import load_settings

    settings = load_settings()
    prepare_folder(settings.data)
    database = open_database(settings)
    try:
        before = migrations.migrate(database)
    finally:
        database.dispose()
    if before == migrations.HEAD:
        typer.echo(f"The database is at revision {before} already.")
    else:
        typer.echo(f"The database went from revision {before or 'none'} to {migrations.HEAD}.")
