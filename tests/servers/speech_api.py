"""ElevenLabs' and Deepgram's APIs.

Sources: elevenlabs.io/docs/api-reference, developers.deepgram.com/reference (models, projects, listen, speak, errors).
"""

from keycairn.testing.openai_server import SOUND
from keycairn.testing.server import Answer, LocalServer, Recorded, as_json


class ElevenLabsServer(LocalServer):
    """Speaks and listens."""

    base = "/v1"
    header = "xi-api-key"
    scheme = ""

    def error(self, status: int) -> object:
        kinds = {401: "invalid_api_key", 404: "model_not_found", 402: "quota_exceeded"}
        return {"detail": {"status": kinds.get(status, "error"), "message": f"About the key {self.key}."}}

    def answer(self, recorded: Recorded) -> Answer:
        path = recorded.path.removeprefix(self.base)
        if (recorded.method, path) == ("GET", "/user"):
            return as_json({"user_id": "u", "subscription": {"tier": "free"}})
        if (recorded.method, path) == ("GET", "/models"):
            speaks = {"model_id": "eleven_v9", "name": "Eleven v9", "can_do_text_to_speech": True}
            return as_json([speaks, {"model_id": "eleven_sts", "name": "Voices", "can_do_text_to_speech": False}])
        if recorded.method == "POST" and path.startswith("/text-to-speech/"):
            known = str(recorded.json().get("model_id")).startswith("eleven_")
            return Answer(body=SOUND, type="audio/mpeg") if known else as_json(self.error(404), 404)
        if (recorded.method, path) == ("POST", "/speech-to-text"):
            form = recorded.form()
            known = form["model_id"].startswith(b"scribe_") and form["file"].startswith(b"RIFF")
            return as_json({"language_code": "en", "text": "you"}) if known else as_json(self.error(404), 404)
        return as_json(self.error(404), 404)


class DeepgramServer(LocalServer):
    """Listens and speaks."""

    base = "/v1"
    scheme = "Token "

    def error(self, status: int) -> object:
        kinds = {401: "INVALID_AUTH", 404: "MODEL_NOT_FOUND", 402: "ASR_PAYMENT_REQUIRED"}
        return {"err_code": kinds.get(status, "ERROR"), "err_msg": f"About the key {self.key}.", "request_id": "r"}

    def answer(self, recorded: Recorded) -> Answer:
        path = recorded.path.removeprefix(self.base)
        if (recorded.method, path) == ("GET", "/projects"):
            return as_json({"projects": [{"project_id": "p", "name": "mine"}]})
        if (recorded.method, path) == ("GET", "/models"):
            heard = {"name": "general", "canonical_name": "nova-9"}
            return as_json({"stt": [heard], "tts": [{"name": "thalia", "canonical_name": "aura-9-thalia-en"}]})
        model = recorded.query.get("model", "")
        if (recorded.method, path) == ("POST", "/speak") and model.startswith("aura-"):
            good = recorded.json().get("text")
            return Answer(body=SOUND, type="audio/mpeg") if good else as_json(self.error(400), 400)
        if (recorded.method, path) == ("POST", "/listen") and model.startswith(("nova-", "whisper-")):
            alternatives = [{"transcript": "you", "confidence": 0.9}]
            heard_all = {"channels": [{"alternatives": alternatives, "detected_language": "en"}]}
            return as_json({"metadata": {"duration": 0.5}, "results": heard_all})
        return as_json(self.error(404), 404)
