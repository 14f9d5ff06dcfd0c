X : y\r\n
\r\n

