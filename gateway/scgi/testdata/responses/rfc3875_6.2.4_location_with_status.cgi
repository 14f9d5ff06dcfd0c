Status: 301 Moved Permanently\r\n
Location: http://example.com/\r\n
Content-Type: text/plain\r\n
\r\n
moved
