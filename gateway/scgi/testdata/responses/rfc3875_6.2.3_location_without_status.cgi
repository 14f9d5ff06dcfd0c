Location: http://example.com/\r\n
\r\n

