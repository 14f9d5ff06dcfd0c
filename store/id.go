package store

import (
	"crypto/rand"
	"encoding/base64"
)

// MaxIDBytes is the longest session id, in bytes, that ValidID accepts.
const MaxIDBytes = 128

// ValidID reports whether id is one that a store may be asked for: 1 to
// MaxIDBytes characters of A-Z a-z 0-9 - _. Those are the ids that session3
// and Quixote make (secrets.token_urlsafe) and nothing that a file system or a
// database reads as more than a name. session3 joins the cookie to its
// directory unchecked, so that "../evil" names any file.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// NewID returns a fresh session id: 128 random bits in the form of Python's
// secrets.token_urlsafe(16), 22 characters, as Quixote's SessionManager makes
// them. (session3 takes 64 bits.)
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}
