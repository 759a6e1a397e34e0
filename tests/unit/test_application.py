from tests.loading import loaded_by

BUILD = "from keycairn.app.server import create_app; app = create_app(); app.plugins.get(KeycairnPlugin).router"
IMPORT = "from keycairn.app.plugin import KeycairnPlugin; "


async def test_pydantic_is_not_loaded_for_an_application_that_has_none_of_its_types() -> None:
    assert "pydantic" not in await loaded_by(IMPORT + BUILD)


async def test_types_of_pydantic_are_known_where_it_is_loaded() -> None:
    code = (
        "import pydantic; " + IMPORT + BUILD + "; from litestar.plugins.pydantic import PydanticPlugin; "
        "assert app.plugins.get(PydanticPlugin) and app.plugins.get(KeycairnPlugin).router.plugins.get(PydanticPlugin)"
    )
    await loaded_by(code)
