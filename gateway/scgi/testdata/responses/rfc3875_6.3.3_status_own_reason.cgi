Status: 799 My Own\r\n
Content-Type: text/plain\r\n
\r\n

