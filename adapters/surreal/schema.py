"""The tables: the statements that define them, version by version, and which indexes nobody asks."""

from collections.abc import Mapping

_FIRST = """
DEFINE TABLE credential SCHEMAFULL;
DEFINE FIELD workspace ON credential TYPE string;
DEFINE FIELD provider ON credential TYPE string;
DEFINE FIELD name ON credential TYPE string;
DEFINE FIELD modalities ON credential TYPE array<string>;
DEFINE FIELD settings ON credential TYPE option<string> COMMENT 'JSON';
DEFINE FIELD sealed ON credential TYPE option<string> COMMENT 'JSON: sealed secrets by name';
DEFINE FIELD extra ON credential TYPE option<string> COMMENT 'JSON';
DEFINE FIELD broken ON credential TYPE option<string> COMMENT 'JSON: why a secret does not open, by name';
DEFINE FIELD last_check ON credential TYPE option<string> COMMENT 'JSON';
DEFINE FIELD created ON credential TYPE datetime;
DEFINE FIELD updated ON credential TYPE datetime;
DEFINE FIELD version ON credential TYPE int;
DEFINE FIELD place ON credential TYPE string COMMENT 'provider, created and id: the order of the list';
DEFINE INDEX credential_provider ON credential FIELDS workspace, provider;
DEFINE INDEX credential_place ON credential FIELDS workspace, place;

DEFINE TABLE model SCHEMAFULL;
DEFINE FIELD workspace ON model TYPE string;
DEFINE FIELD provider ON model TYPE string;
DEFINE FIELD name ON model TYPE string;
DEFINE FIELD type ON model TYPE string;
DEFINE FIELD credential ON model TYPE option<record<credential>>;
DEFINE FIELD holder ON model TYPE string COMMENT 'the key of credential, or empty: makes unlinked models unique too';
DEFINE FIELD missing_since ON model TYPE option<datetime>;
DEFINE FIELD created ON model TYPE datetime;
DEFINE FIELD updated ON model TYPE datetime;
DEFINE FIELD version ON model TYPE int;
DEFINE INDEX model_credential ON model FIELDS credential;
DEFINE INDEX model_unique ON model FIELDS workspace, provider, holder, name, type UNIQUE;

DEFINE TABLE defaults SCHEMAFULL;
DEFINE FIELD workspace ON defaults TYPE string;
DEFINE FIELD slots ON defaults TYPE string COMMENT 'JSON';
DEFINE FIELD version ON defaults TYPE int;

DEFINE TABLE keyset SCHEMAFULL;
DEFINE FIELD generation ON keyset TYPE int;
DEFINE FIELD install_id ON keyset TYPE string;
DEFINE FIELD content ON keyset TYPE string COMMENT 'JSON: all of it';

DEFINE TABLE token SCHEMAFULL;
DEFINE FIELD workspace ON token TYPE string;
DEFINE FIELD name ON token TYPE string;
DEFINE FIELD scopes ON token TYPE array<string>;
DEFINE FIELD mac ON token TYPE string;
DEFINE FIELD created ON token TYPE datetime;
DEFINE FIELD expires ON token TYPE option<datetime>;
DEFINE FIELD revoked ON token TYPE option<datetime>;
DEFINE INDEX token_workspace ON token FIELDS workspace;

DEFINE TABLE event SCHEMAFULL;
DEFINE FIELD workspace ON event TYPE string;
DEFINE FIELD at ON event TYPE datetime;
DEFINE FIELD actor ON event TYPE string;
DEFINE FIELD action ON event TYPE string;
DEFINE FIELD target ON event TYPE string;
DEFINE FIELD outcome ON event TYPE string;
DEFINE FIELD source ON event TYPE string;
DEFINE FIELD request_id ON event TYPE string;
DEFINE FIELD details ON event TYPE option<string> COMMENT 'JSON';
DEFINE INDEX event_workspace ON event FIELDS workspace;

DEFINE TABLE revision SCHEMAFULL;
DEFINE FIELD number ON revision TYPE int;
"""

_USAGE = """
DEFINE TABLE usage SCHEMAFULL;
DEFINE FIELD workspace ON usage TYPE string;
DEFINE FIELD day ON usage TYPE string COMMENT 'ISO date, UTC';
DEFINE FIELD token ON usage TYPE string;
DEFINE FIELD credential ON usage TYPE string;
DEFINE FIELD model ON usage TYPE string;
DEFINE FIELD requests ON usage TYPE int;
DEFINE FIELD failed ON usage TYPE int;
DEFINE FIELD input_tokens ON usage TYPE int;
DEFINE FIELD output_tokens ON usage TYPE int;
DEFINE FIELD last_used ON usage TYPE option<datetime>;
DEFINE INDEX usage_day ON usage FIELDS workspace, day;
"""

_LIMITS = "DEFINE FIELD limits ON token TYPE option<string> COMMENT 'JSON';"

_CHAIN = """
DEFINE FIELD seq ON event TYPE option<int>;
DEFINE FIELD mac ON event TYPE option<string>;
DEFINE INDEX event_seq ON event FIELDS seq;
DEFINE TABLE head SCHEMAFULL;
DEFINE FIELD link ON head TYPE string COMMENT 'number and MAC of the youngest event';
"""

_FINGERPRINTS = """
DEFINE FIELD fingerprints ON credential TYPE option<string> COMMENT 'JSON: fingerprints of secrets by name';
DEFINE FIELD prints ON credential TYPE option<array<string>> COMMENT 'the same, for the index';
DEFINE INDEX credential_prints ON credential FIELDS prints;
"""

_RESTORING = """
DEFINE TABLE restoring SCHEMAFULL COMMENT 'what is stored beside this is a part of a backup only';
DEFINE FIELD owner ON restoring TYPE string;
DEFINE FIELD at ON restoring TYPE datetime;
"""

_SHARES = """
DEFINE FIELD priority ON model TYPE option<int> COMMENT '0 where there is none';
DEFINE FIELD weight ON model TYPE option<int> COMMENT '1 where there is none';
DEFINE FIELD limits ON credential TYPE option<string> COMMENT 'JSON';
"""

_REACH = """
DEFINE FIELD reach ON token TYPE option<string> COMMENT 'JSON; all of the workspace where there is none';
DEFINE FIELD last_used ON token TYPE option<datetime>;
"""

_MAKER = "DEFINE FIELD maker ON token TYPE option<string> COMMENT 'the token it was made with';"

_LEDGER = """
DEFINE TABLE ledger SCHEMAFULL COMMENT 'which changeset of the redo log is in';
DEFINE FIELD store ON ledger TYPE string;
DEFINE FIELD number ON ledger TYPE int;
REMOVE INDEX model_unique ON model;
DEFINE INDEX model_place ON model FIELDS workspace, provider, holder, name, type;
DEFINE FIELD proof ON credential TYPE option<string>;
DEFINE FIELD proof ON model TYPE option<string>;
DEFINE FIELD proof ON defaults TYPE option<string>;
DEFINE FIELD proof ON token TYPE option<string>;
DEFINE FIELD proofs ON event TYPE option<string> COMMENT 'JSON: what became of each record, by kind and key';
DEFINE FIELD state ON event TYPE option<string> COMMENT 'the sum of all records after it';
"""

_AGE = "DEFINE INDEX usage_age ON usage FIELDS day;"

_COUNTED = """
DEFINE FIELD cached_tokens ON usage TYPE option<int> COMMENT '0 where there is none';
DEFINE FIELD estimated ON usage TYPE option<int> COMMENT '0 where there is none';
"""

_PROVIDER_MODEL = """
DEFINE FIELD provider_model ON model TYPE option<string> COMMENT 'what its provider calls a model named on purpose';
"""

_OPTIONS = "DEFINE FIELD options ON credential TYPE option<string> COMMENT 'JSON: how the account is called';"

_PRICES = """
DEFINE FIELD price ON model TYPE option<string> COMMENT 'JSON';
DEFINE FIELD nanos ON usage TYPE option<int> COMMENT '0 where there is none; billionths of what prices are in';
"""

_CONTEXT = "DEFINE FIELD context_length ON model TYPE option<int> COMMENT 'tokens';"

_KEY_ROTATIONS = """
DEFINE TABLE key_rotation SCHEMAFULL COMMENT 'how the key of a credential is rotated';
DEFINE FIELD workspace ON key_rotation TYPE string;
DEFINE FIELD content ON key_rotation TYPE string COMMENT 'JSON: all of it';
DEFINE FIELD version ON key_rotation TYPE int;
DEFINE FIELD proof ON key_rotation TYPE option<string>;
"""

_FOLLOWED = """
DEFINE FIELD taken ON revision TYPE option<int> COMMENT 'the last one that took something away';
DEFINE TABLE change SCHEMAFULL COMMENT 'what each revision touched, the newest ones only';
DEFINE FIELD touched ON change TYPE array<record>;
DEFINE FIELD takes ON change TYPE bool COMMENT 'whether it took something away';
DEFINE TABLE lease SCHEMAFULL COMMENT 'an instance that serves from memory';
DEFINE FIELD seen ON lease TYPE int COMMENT 'the revision it is at, at the least';
DEFINE FIELD granted ON lease TYPE int COMMENT 'its last turn that was granted';
"""
_HOURS = "DEFINE FIELD hours ON usage TYPE option<array<int>> COMMENT 'the sums of each hour, one after the other';"

_POOLS = """
REMOVE FIELD taken ON revision;
DEFINE TABLE taken SCHEMAFULL COMMENT 'the last revision that took something away';
DEFINE FIELD number ON taken TYPE int;
DEFINE TABLE share SCHEMAFULL COMMENT 'what is left of a limit that instances share';
DEFINE FIELD amount ON share TYPE float;
DEFINE FIELD at ON share TYPE datetime;
DEFINE FIELD holds ON share TYPE option<string> COMMENT 'JSON: what each instance has of a limit on calls at one time';
DEFINE FIELD until ON share TYPE option<datetime>;
DEFINE FIELD version ON share TYPE int;
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _USAGE,
    _LIMITS,
    _CHAIN,
    _FINGERPRINTS,
    _RESTORING,
    _SHARES,
    _REACH,
    _MAKER,
    _LEDGER,
    _AGE,
    _COUNTED,
    _PROVIDER_MODEL,
    _OPTIONS,
    _PRICES,
    _CONTEXT,
    _KEY_ROTATIONS,
    _FOLLOWED,
    _HOURS,
    _POOLS,
)
"""Statements by number, counted from 1. Append only: a database remembers which ones it has had."""

ANSWERED_FROM_MEMORY: Mapping[str, tuple[str, ...]] = {
    "credential": ("credential_provider", "credential_place", "credential_prints"),
    "model": ("model_credential", "model_place"),
    "token": ("token_workspace",),
    "event": ("event_workspace",),
    "usage": ("usage_day",),
}
"""The indexes, by table, that only a store without the records in memory asks."""
