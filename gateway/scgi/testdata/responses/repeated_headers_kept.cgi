Set-Cookie: a=1\r\n
Set-Cookie: b=2\r\n
Content-Type: text/plain\r\n
\r\n

