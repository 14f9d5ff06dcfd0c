package pickle

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bySteps is Verify without skim.
func bySteps(data []byte) (Report, error) {
	m := &machine{data: data, end: len(data), limits: Limits{}.withDefaults()}
	for {
		done, err := m.step()
		if err != nil {
			return Report{}, err
		}
		if done {
			m.report.Globals, m.report.Memo = m.globals(), m.memoLen
			m.report.Used, m.report.Trailing = m.pos, len(data)-m.pos
			return m.report, nil
		}
	}
}

func checkSkim(t *testing.T, data []byte) {
	t.Helper()
	want, wantErr := bySteps(data)
	got, gotErr := Verify(data, Limits{})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%x: report by steps, and with skim:\n%s", data, diff)
	}
	if (wantErr == nil) != (gotErr == nil) || wantErr != nil && wantErr.Error() != gotErr.Error() {
		t.Errorf("%x: error %v by steps, %v with skim", data, wantErr, gotErr)
	}
}

func TestSkimDoesAsSteps(t *testing.T) {
	for _, data := range []string{
		"\x80\x04](\x94K\x01K\x02K\x03e.......", // MEMOIZE of what lies below MARK
		"\x80\x04\x94N........",                 // of nothing
		"\x80\x04h\x00.........",                // an entry that nobody wrote
		"\x80\x02X\xff\xff\xff\xffabcdefghijk",  // text beyond the end
		"\x80\x02(q\x00.........",               // BINPUT of nothing
		"\x80\x02]q\x01h\x01h\x00.......",       // a gap
		"\x80\x02]q\x00h\x00q\x00.......",       // an entry written again
		"\x80\x02Nq\x05\x8c\x01a\x94h\x06.....", // MEMOIZE after a gap
	} {
		checkSkim(t, []byte(data))
	}
	for _, s := range readSamples(t, "testdata/good.jsonl.gz") {
		checkSkim(t, s.data)
		// Cut and changed, so that errors come at each opcode.
		for n := 0; n < len(s.data); n += 1 + len(s.data)/64 {
			checkSkim(t, s.data[:n])
			changed := append([]byte(nil), s.data...)
			changed[n] ^= 1 << (n % 8)
			checkSkim(t, changed)
		}
	}
}
