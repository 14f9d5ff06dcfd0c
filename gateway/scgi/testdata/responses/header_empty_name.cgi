: y\r\n
\r\n

