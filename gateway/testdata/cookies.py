"""Write cookies.jsonl: Cookie headers and what Quixote's own parser makes of them.

python3 cookies.py > cookies.jsonl      # needs quixote
"""

import json
import random

from quixote.http_request import parse_cookies

WRITTEN_BY_HAND = [
    "",
    "QX_session=abc",
    "QX_session=a; QX_session=b",
    "QX_session=a, QX_session=b",
    'QX_session="a,b"; x=1',
    'QX_session="a\\"b"',
    "$Version=1; QX_session=a; $Path=/",
    "QX_session",
    "QX_session=",
    "QX_session = a",
    "=a; QX_session=b",
    "QX_session==b",
    'QX_session="never closed',
    'QX_session="closed only by an escape\\"; x=1',
    "a=1\xa0QX_session=b",
    "a=1\x85QX_session=b",
    "a=1\x1cQX_session=b",
    'a="\\\n"',
    "*del*=1; QX_session=*del*",
]

random.seed(1605)
headers = list(WRITTEN_BY_HAND)
for _ in range(3000):
    headers.append(
        "".join(random.choice('ab=;,"\\ $\n\xa0\x85Q') for _ in range(random.randint(0, 16)))
    )
for header in headers:
    print(json.dumps([header, parse_cookies(header)]))
