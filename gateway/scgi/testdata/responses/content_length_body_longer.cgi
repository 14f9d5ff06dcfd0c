Content-Length: 4\r\n
\r\n
bodymore
