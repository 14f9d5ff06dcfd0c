package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// ReadKey returns the key for Sessions.Key that a file holds, without the white
// space around it. The error says what is wrong with a key of fewer than 16
// bytes, and with a file that others may read.
func ReadKey(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others: chmod 600 %s", path, path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key = bytes.Trim(key, " \t\n\v\f\r") // as Python's bytes.strip(): the workers must have the same key
	if len(key) < 16 {
		return nil, errors.New("the key has fewer than 16 bytes; make one with: openssl rand -hex 32")
	}
	return key, nil
}
