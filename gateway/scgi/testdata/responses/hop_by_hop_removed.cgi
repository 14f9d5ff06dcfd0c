Status: 200 OK\r\n
Connection: close, X-Mine\r\n
X-Mine: 1\r\n
Keep-Alive: 5\r\n
Upgrade: h2c\r\n
X-Stays: 1\r\n
\r\n

