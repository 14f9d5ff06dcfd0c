X: caf\xe9\r\n
\r\n

