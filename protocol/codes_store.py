"""Hosts only: the diagnostic codes of stores and their keys; codes.py takes them into its table. (title, why, act) as Explanation has them."""

STORE_CODES = {
    "office-older": (
        "An older version wrote this database",
        "verify changes nothing, so it cannot bring a copy of former years up to date; what it would look for was never there.",
        "Verify it with that version, or let this version's office open a copy of the copy once, and verify that.",
    ),
    "store-cipher-missing": (
        "What encrypts a store is not installed",
        "The settings, or what lies beside a database, say that it is encrypted. SQLCipher and the keyring are an extra of the installation.",
        "Install it: pip install 'outstation[cipher]'.",
    ),
    "store-copies-together": (
        "Copies of database and keys would lie together",
        "Plain databases are copied into two folders: who has the office's database and its keystore can read all that devices said.",
        "Name a second folder with --keys, and keep the two apart; or encrypt the databases first.",
    ),
    "store-copy-exists": (
        "A backup is there already",
        "No copy is written over: the one that is there may be the only good one.",
        "Name another folder, such as one with the day in its name.",
    ),
    "store-in-use": (
        "Another process runs on this store",
        "Two gateways on one store would each give custody without knowing of the other. A database that is to be encrypted or decrypted may be open nowhere else at all.",
        "Stop the other one, or give this one a database of its own.",
    ),
    "store-key-away": (
        "The passphrase of an encrypted store is out of reach",
        "Its file is missing or somebody else's, the keyring is closed or does not have the entry, or what is there is no passphrase: one line of 16 to 1024 bytes. The store was not touched.",
        "Bring the passphrase back. Without it nobody can read the store: a gateway goes on with an empty one, an office needs a backup whose passphrase is known.",
    ),
    "store-key-wrong": (
        "The passphrase is another store's",
        "The check beside the store refuses it, before anything of the store was read: so nothing is taken for damage, repaired or made anew.",
        "Put the right passphrase where the settings say. If it is to change, name the place of the new one under [store] and run store rekey while the old one is still where it was.",
    ),
    "store-no-passphrase": (
        "The settings name no passphrase",
        "A store is encrypted with the passphrase in the place that passphrase_file or keyring under [store] names.",
        "Write one of the two under [store], and give the command again.",
    ),
    "store-plain": (
        "The store is not encrypted, and the settings want it to be",
        "passphrase_file or keyring stands under [store], and the database is plain: it was made before, or its encrypting was cut off, which leaves it as it was.",
        "Stop the service and encrypt it: outstation gateway store encrypt, or outstation office store encrypt.",
    ),
    "store-wanted-encrypted": (
        "The settings still want the store encrypted",
        "It would be refused at the next start.",
        "Remove passphrase_file and keyring from [store] in the settings, and give the command again.",
    ),
    "store-newer": (
        "A store was written by a newer version",
        "Its schema has migrations that this version does not know. They only go forward.",
        "Install that version again, or restore the backup that was made before it.",
    ),
}
