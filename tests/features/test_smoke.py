from tests.conftest import Service, EMAIL
from tests.races import race


def test_journey(service: Service) -> None:
    c = service.signed_in()
    assert c.get("/profile").json["email"] == EMAIL
    rs = race(
        lambda n: (
            service.client()
            .post(
                "/users", data={"email": "amy@example.com", "password": "x y z this is long enough"}
            )
            .status_code
        )
    )
    assert sorted(rs) == [201] + [409] * 49, rs
    rs = race(
        lambda n: (
            service.client()
            .post(
                "/sessions",
                data={"email": "amy@example.com", "password": "x y z this is long enough"},
            )
            .status_code
        )
    )
    assert rs == [200] * 50
    u = service.auth.accounts.find("amy@example.com")
    assert len(service.auth.sessions.list(u.id)) == 50
