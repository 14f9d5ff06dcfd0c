package pickle_test

import (
	"fmt"

	"alforja/pickle"
)

func Example() {
	policy, err := pickle.NewPolicy(pickle.PolicyOptions{})
	if err != nil {
		panic(err)
	}
	for _, data := range []string{
		"\x80\x02cmyapp\nCart\n)\x81}X\x01\x00\x00\x00nK\x03sb.",
		"cos\nsystem\n(S'id'\ntR.",
		"\x80\x04\x95\x10",
	} {
		report, err := pickle.Verify([]byte(data), pickle.Limits{})
		if err == nil {
			err = policy.Check(report)
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, g := range report.Globals {
			fmt.Println(g.Module, g.Name, g.Role)
		}
	}
	// Output:
	// myapp Cart class
	// pickle: refused: os.system (called, byte 0): it is not among the harmless types of the standard library; if it is harmless, configure allow = ["os.system"]
	// pickle: at byte 2 (FRAME): the input ends before STOP
}
