Transfer-Encoding: identity\r\n
\r\n
x
