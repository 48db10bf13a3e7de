"""Hosts only: the diagnostic codes of the identity of gateways and boards; codes.py takes them into its table. (title, why, act) as Explanation has them."""

IDENTITY_CODES = {
    "device-claim": (
        "A board's claim cannot be read",
        "claim.json holds identity and one-time secret of a board without keys, its hardware, the size of its journal and where to look for a gateway; one of them is missing or has another form.",
        "Copy the file anew from the folder that outstation provision claims made. If it is lost, make another claim.",
    ),
    "gateway-code": (
        "The code of an invitation was not written as it was made",
        "A code has 55 characters and a check of its own; a character is wrong or missing. Nothing was sent.",
        "Copy it whole, as outstation office gateway invite printed it.",
    ),
    "gateway-identity": (
        "A gateway's key and certificate do not fit",
        "The file does not hold a private key and the certificate of that key, or the certificate names another gateway, or another authority made it.",
        "Enrol the gateway again: outstation office gateway invite, then outstation gateway enrol.",
    ),
    "gateway-not-enrolled": (
        "The office did not make this machine a gateway",
        "The code is over, was used by another machine, is not this office's, or its gateway was revoked; the message says which.",
        "Ask for a new code: outstation office gateway invite. If somebody else used it, revoke the gateway first.",
    ),
    "gateway-other-office": (
        "Somebody else than the code's office answers",
        "The code names the office's certificate authority, and what answers at the address does not show it: a wrong address, another office, or a proxy that ends TLS. The code was not sent.",
        "Check the address. If it is right, tell who runs the office.",
    ),
    "gateway-unreachable": (
        "The office cannot be reached to enrol",
        "No connection, or a certificate that is not for this address.",
        "Check the address, and that the office runs and has this name or address in its certificate; then try again with the same code.",
    ),
    "office-gateway-revoked": (
        "A gateway was revoked, for good",
        "Who was revoked never comes back under the same name: what was brought under it before stays its own.",
        "Give the new machine a new name.",
    ),
    "office-gateway-way": (
        "A gateway's certificate comes from somewhere else",
        "A gateway has its certificates either from this office or from the company's authority.",
        "Give the new one another name.",
    ),
    "office-gateways-behind": (
        "A step would lock gateways out",
        "They do not trust the new authority yet, or have a certificate of the old one; each changes over with its next exchanges.",
        "Wait until outstation office ca status names none. With --anyway they must be enrolled again by hand.",
    ),
    "office-admission": (
        "A board cannot be admitted so",
        "It was decided about already, no gateway has heard it, or what it is to begin with cannot be had.",
        "outstation office device pending --all shows every claim; name channels and rules with --like, or --schema and --rules.",
    ),
    "office-no-such-board": (
        "There is no claim of this board",
        "Only boards for which this office made a claim can be admitted or refused; they go by the 16 hex digits on their label.",
        "outstation office device pending --all shows them; outstation provision claims makes one.",
    ),
    "office-no-authority": (
        "The office has no authority that can issue",
        "No certificate authority with a key is kept, or none is known that vouches for the server's certificate.",
        "outstation office ca rotate makes one; beside a certificate of the company's put its authority as ca.pem.",
    ),
    "office-no-gateway": (
        "There is no gateway of this name",
        "Neither a token nor a certificate was ever given to it.",
        "outstation office gateway list shows them.",
    ),
    "office-no-site": (
        "The office knows no such site",
        "A site is known once somebody made it, or once a device or a gateway is of it.",
        "outstation site create makes it; check how the name is written.",
    ),
    "provision-label": (
        "A label was not read as it was printed",
        "It has a prefix, 16 hex digits and a check of four characters; one of them is wrong.",
        "Read it again, or type it as it stands below the code.",
    ),
    "provision-roots": (
        "More keys sign releases than a device can be given",
        (
            "A device takes releases of four roots at most, and says which it holds. Each key of outstation release init-key is one, "
            "until another stands in its place; a successor counts from then on."
        ),
        "Replace one by another: outstation release root replace OLD; outstation release root list shows them.",
    ),
    "provision-list": (
        "A list of devices has a mistake",
        "The head names a column that no list has, or a cell is not what its column holds. Nothing was made.",
        "Mend the lines that are named and run it again; what an earlier run made is passed over.",
    ),
}
