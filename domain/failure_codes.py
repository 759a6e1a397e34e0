"""What providers call their failures: codes without separators in lower case, and words of their sentences.

Each is what its provider documents or answers; `keycairn.domain.provider_failure` says what they mean together.
"""

import re

QUOTA_CODES = frozenset(
    {
        "insufficientquota",  # OpenAI, DashScope
        "billinghardlimitreached",  # OpenAI
        "billingnotactive",  # OpenAI
        "billingerror",  # Anthropic
        "insufficientbalance",  # DeepSeek, MiniMax
        "insufficientcredits",  # OpenRouter
        "insufficientuserquota",  # one-api and its kin
        "quotaexceeded",  # ElevenLabs; Google's older errors
        "dailylimitexceeded",  # Google's older errors
        "billingdisabled",  # Google
        "budgetexceeded",  # LiteLLM
        "notenoughbalance",  # Novita
        "creditlimit",  # Together
        "asrpaymentrequired",  # Deepgram
        "arrearage",  # DashScope
        "allocationquotafreetieronly",  # DashScope
        "servicequotaexceededexception",  # AWS
        "baseresp1008",  # MiniMax
    }
)
RATE_CODES = frozenset(
    {
        "ratelimitexceeded",  # OpenAI, Groq; Google's older errors
        "ratelimiterror",  # Anthropic
        "userratelimitexceeded",  # Google's older errors
        "toomanyrequests",
        "toomanyrequestsexception",  # AWS
        "toomanyconcurrentrequests",  # ElevenLabs
        "throttling",  # DashScope, AWS
        "throttlingexception",  # AWS
        "throttlingratequota",  # DashScope
        "throttlingallocationquota",  # DashScope
        "resourceexhausted",  # Google
        "baseresp1002",  # MiniMax
    }
)
AUTH_CODES = frozenset(
    {
        "invalidapikey",  # OpenAI, Groq, ElevenLabs, DashScope
        "apikeyinvalid",  # Google, which answers 400
        "apikeyexpired",  # Google
        "accesstokenexpired",  # Google
        "unauthenticated",  # Google
        "authenticationerror",  # Anthropic
        "autherror",  # LiteLLM
        "invalidauth",  # Deepgram
        "invalidgrant",  # Google's token endpoint, for a service account
        "invalidclient",  # the same
        "accountdeactivated",  # OpenAI
        "unrecognizedclientexception",  # AWS
        "invalidsignatureexception",  # AWS
        "expiredtokenexception",  # AWS
        "invalidclienttokenid",  # AWS
        "missingauthenticationtoken",  # AWS
        "baseresp1004",  # MiniMax
        "baseresp2049",  # MiniMax
    }
)
PERMISSION_CODES = frozenset(
    {
        "permissionerror",  # Anthropic
        "permissionserror",  # Groq
        "permissiondenied",  # Google
        "apikeyserviceblocked",  # Google
        "apikeyhttpreferrerblocked",  # Google
        "apikeyipaddressblocked",  # Google
        "servicedisabled",  # Google
        "insufficientpermissions",  # Deepgram, OpenAI
        "missingpermissions",  # ElevenLabs, which answers 401
        "missingscope",
        "insufficientscope",  # RFC 6750
        "modelpermissionblockedorg",  # Groq
        "modelpermissionblockedproject",  # Groq
        "keymodelaccessdenied",  # LiteLLM
        "accessdenied",  # DashScope, Azure
        "accessdeniedexception",  # AWS
        "modelaccessdenied",  # DashScope
        "accessdeniedunpurchased",  # DashScope
        "unsupportedcountryregionterritory",  # OpenAI
    }
)
MODEL_CODES = frozenset(
    {
        "modelnotfound",  # OpenAI, xAI, Groq, ElevenLabs
        "modeldecommissioned",  # Groq, which answers 400
        "modelnotsupported",
        "deploymentnotfound",  # Azure
        "invalidmodel",  # Mistral, which answers 400
        "nosuchmodel",
    }
)
CALL_CODES = frozenset(
    {
        "invalidrequesterror",  # OpenAI, Anthropic
        "invalidargument",  # Google
        "badrequest",
        "validationerror",
        "validationexception",  # AWS
        "contextlengthexceeded",  # OpenAI
        "contentpolicyviolation",  # OpenAI
        "contentfilter",  # Azure
        "unprocessableentity",
        "baseresp2013",  # MiniMax
    }
)
DOWN_CODES = frozenset({"overloadederror", "apierror", "servererror", "internalservererror", "internal", "unavailable"})

QUOTA_WORDS = (
    "your credit balance is too low",  # Anthropic, which answers 400
    "you have reached your specified api usage limits",  # Anthropic, the same
    "budget has been exceeded",  # LiteLLM, which answers 400
    "exceededbudget",
    "insufficient balance",
    "insufficient credit",
    "insufficient fund",
)
"""What a sentence begins with, or holds where the status is one that repeats nothing of the call."""
MORE_QUOTA_WORDS = (
    "used all available credits",  # xAI, which answers 403 or 429
    "spending limit",  # xAI, Fireworks
    "out of credit",
    "monthly included credits",  # Hugging Face
    "payment required",
    "not enough balance",
    "free tier of the model has been exhausted",  # DashScope
    "billing is not active",
    "billing not active",
)
AUTH_WORDS = ("incorrect api key provided", "invalid api key", "api key not valid", "invalid x-api-key", "login fail")
"""xAI answers 400 with the first and gives no code of its own to it; MiniMax 200 with the last."""
MORE_AUTH_WORDS = (
    "incorrect api key",
    "not authenticated",  # FastAPI, which answers 403 without a token
    "reported as leaked",  # Google, which answers 403
    "invalid token",
    "invalid credentials",
    "invalid authentication",
    "api key is invalid",
    "api key expired",
    "make sure your api key is valid",  # Bedrock
    "security token included in the request",  # AWS, as also its error type says, which some proxies drop
    "signature we calculated does not match",  # AWS
    "signature expired",  # AWS
)
PERMISSION_WORDS = ("insufficient permission", "missing scope", "is missing the permission", "sufficient permissions")
"""OpenAI says so of a restricted key with 401 or 403, and gives no code to it."""
BLAMED_WORDS = ("flagged", "moderation", "content policy", "safety")
"""OpenRouter answers 403 to what its moderation stops: that is the call's fault."""
MODEL_NAMED = re.compile(r"\b(?:models?|deployment|engine)\b")
MODEL_GONE = re.compile(
    r"\b(?:unknown|invalid|unsupported|no such|not a valid) (?:model|deployment|engine)\b"
    r"|\b(?:model|deployment|engine)\b[^.]{0,200}?\b(?:not found|not be found|not exist|not available|not have access"
    r"|decommissioned|deprecated|retired)\b"
    r"|\bmodel [^ ]{1,200} (?:is )?not supported\b"
)
WRONG_ADDRESS = ("not found", "unexpected endpoint", "resource not found", "no route", "404")
PERSON_SCHEMES = ("basic", "digest", "negotiate", "ntlm")
