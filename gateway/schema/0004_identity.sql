-- Whose file this is ("OUTG", gateway/store_identity.py): what another program's file says is never opened to be repaired.
PRAGMA application_id = 1330992199;
