package gateway

import (
	"os"
	"path/filepath"
	"testing"
)

// Workers read the same file, by Python's bytes.strip().
func TestReadKeyTrimsAsPython(t *testing.T) {
	const key = "0123456789abcdef"
	for text, want := range map[string]string{
		" \t\n\v\f\r" + key + "\r\n": key,
		key + "\u0085":               key + "\u0085",
		"\u00a0" + key + "\u3000\n":  "\u00a0" + key + "\u3000",
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadKey(path); err != nil || string(got) != want {
			t.Errorf("%q is read as %q, %v", text, got, err)
		}
	}
}
