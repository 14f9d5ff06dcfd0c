package pickle

import "testing"

func BenchmarkVerify(b *testing.B) {
	samples := readSamples(b, "testdata/good.jsonl.gz")
	for _, c := range []struct{ size, name string }{
		{"300B", "3.6/p4/c/dictsession"},
		{"500B", "3.6/p4/c/shop"},
		{"5KB", "3.6/p4/c/shopdict"},
		{"10KB-protocol0", "3.6/p0/c/shopdict"},
	} {
		s := find(b, samples, c.name)
		b.Run(c.size, func(b *testing.B) {
			b.SetBytes(int64(len(s.data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Verify(s.data, Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	policy := defaultPolicy(b)
	s := find(b, readSamples(b, "testdata/good.jsonl.gz"), "3.6/p4/c/shop")
	r, err := Verify(s.data, Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := policy.Check(r); err != nil {
			b.Fatal(err)
		}
	}
}

func find(t testing.TB, samples []sample, name string) sample {
	t.Helper()
	for _, s := range samples {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no sample %s", name)
	return sample{}
}
