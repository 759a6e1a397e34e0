"""The proof of a service is good for one nonce and one connection."""

import pytest

from keycairn.app.proof import is_nonce, new_nonce, new_secret, prove, proves

CLIENT, SERVER = ("127.0.0.1", 50000), ("127.0.0.1", 8765)


def test_a_proof_is_good_for_its_nonce_and_both_ends_only() -> None:
    secret, nonce = new_secret(), new_nonce()
    proof = prove(secret, nonce, client=CLIENT, server=SERVER)
    assert proves(proof, secret, nonce, client=CLIENT, server=SERVER)
    for changed in (
        (new_secret(), nonce, CLIENT, SERVER),
        (secret, new_nonce(), CLIENT, SERVER),
        (secret, nonce, ("127.0.0.1", 50001), SERVER),
        (secret, nonce, ("127.0.0.2", 50000), SERVER),
        (secret, nonce, CLIENT, ("127.0.0.1", 8766)),
        (secret, nonce, CLIENT, ("10.0.0.1", 8765)),
        (secret, nonce, SERVER, CLIENT),
    ):
        assert not proves(proof, changed[0], changed[1], client=changed[2], server=changed[3])
    for other in ("", proof[:-1], proof + "0", proof.upper() + "x", "é" * 64):
        assert not proves(other, secret, nonce, client=CLIENT, server=SERVER)


def test_an_address_is_the_same_in_each_of_its_forms() -> None:
    secret, nonce = new_secret(), new_nonce()
    proof = prove(secret, nonce, client=("::ffff:127.0.0.1", 50000), server=("::ffff:7f00:1", 8765))
    assert proves(proof, secret, nonce, client=CLIENT, server=SERVER)
    linked = prove(secret, nonce, client=("fe80::1%eth0", 1), server=("fe80::2", 2))
    assert proves(linked, secret, nonce, client=("fe80::1", 1), server=("fe80:0::2%2", 2))


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 63 + "\n", "\u0660" * 64])
def test_only_a_nonce_of_the_one_form_is_answered(text: str) -> None:
    assert not is_nonce(text)
    assert is_nonce(new_nonce())
    assert new_nonce() != new_nonce()
