package pickle_test

import (
	"errors"
	"fmt"
	"time"

	"alforja/pickle"
)

// A session as CPython pickles it: an instance of shop.Session with three
// attributes.
const session = "\x80\x04\x95N\x00\x00\x00\x00\x00\x00\x00\x8c\x04shop\x94\x8c\x07Session\x94\x93\x94)\x81\x94}\x94" +
	"(\x8c\x04user\x94\x8c\x06sancho\x94\x8c\x0c_access_time\x94GA\xd9T\xfc@\x00\x00\x00\x8c\x05count\x94K\x07ub."

func ExampleDecode() {
	v, err := pickle.Decode([]byte(session), pickle.DecodeOptions{})
	if err != nil {
		panic(err)
	}
	o := v.(*pickle.Object)
	class, _ := o.Class()
	fmt.Println(class.Module, class.Name)
	for _, item := range o.Attributes().Items {
		switch value := item.Value.(type) {
		case pickle.Str:
			fmt.Printf("%s: the text %s\n", item.Key, value)
		case pickle.Int:
			fmt.Printf("%s: the number %d\n", item.Key, value)
		}
	}
	// Output:
	// shop Session
	// user: the text sancho
	// count: the number 7
}

func ExampleAppend() {
	v := &pickle.Dict{}
	v.Set(pickle.Str("a"), &pickle.List{Items: []pickle.Value{pickle.Int(1), pickle.None{}}})
	data, err := pickle.Append(nil, v, 0)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%q\n", data)
	// Output: "(dp0\nVa\np1\n(lp2\nI1\naNas."
}

func ExampleReplaceAttribute() {
	data, err := pickle.ReplaceAttribute(nil, []byte(session), "user", pickle.Str("quijote"))
	if errors.Is(err, pickle.ErrNotEditable) {
		fmt.Println("decode it, and encode it again")
		return
	}
	if err != nil {
		panic(err)
	}
	user, err := pickle.FindAttribute(data, "user")
	fmt.Println(user, err)
	// Output: quijote <nil>
}

func ExampleSetFloatAttribute() {
	data := []byte(session)
	now := time.Unix(1_800_000_000, 0)
	if err := pickle.SetFloatAttribute(data, "_access_time", float64(now.Unix())); err != nil {
		panic(err)
	}
	t, err := pickle.FindAttribute(data, "_access_time")
	fmt.Println(t, err)
	// Output: 1.8e+09 <nil>
}

func ExampleUnmarshal() {
	var s struct {
		User   string  `pickle:"user"`
		Access float64 `pickle:"_access_time"`
	}
	if err := pickle.Unmarshal([]byte(session), &s, pickle.UnmarshalOptions{}); err != nil {
		panic(err)
	}
	fmt.Println(s.User, s.Access)
	// Output: sancho 1.7e+09
}

func ExampleMarshal() {
	type Line struct {
		SKU string `pickle:"sku"`
		N   int    `pickle:"n,omitempty"`
	}
	var r pickle.Registry
	r.Register(pickle.Import{Module: "shop", Name: "Line"}, Line{}, pickle.Instance)
	data, err := pickle.Marshal([]*Line{{"apple", 2}}, &r)
	if err != nil {
		panic(err)
	}
	report, err := pickle.Verify(data, pickle.Limits{})
	if err != nil {
		panic(err)
	}
	for _, g := range report.Globals {
		fmt.Println(g.Module, g.Name, g.Role)
	}
	var back []*Line
	err = pickle.Unmarshal(data, &back, pickle.UnmarshalOptions{Registry: &r})
	fmt.Println(*back[0], err)
	// Output:
	// shop Line class
	// {apple 2} <nil>
}

// ExampleDecode_walk prints what a value holds. Values may hold themselves, so
// that a walk notes where it has been.
func ExampleDecode_walk() {
	data := []byte("(dp0\nVcart\np1\n(lp2\n(I1\nVapple\ntp3\naVtags\np4\n0g2\nas.")
	v, err := pickle.Decode(data, pickle.DecodeOptions{})
	if err != nil {
		panic(err)
	}
	seen := map[pickle.Value]bool{}
	var walk func(v pickle.Value, indent string)
	walk = func(v pickle.Value, indent string) {
		if seen[v] {
			fmt.Printf("%s%T again\n", indent, v)
			return
		}
		if items, ok := pickle.Mapping(v); ok {
			seen[v] = true
			for _, item := range items {
				fmt.Printf("%s%v:\n", indent, item.Key)
				walk(item.Value, indent+"  ")
			}
		} else if items, ok := pickle.Sequence(v); ok {
			seen[v] = true
			fmt.Printf("%s%T of %d\n", indent, v, len(items))
			for _, item := range items {
				walk(item, indent+"  ")
			}
		} else {
			fmt.Printf("%s%T %v\n", indent, v, v)
		}
	}
	walk(v, "")
	// Output:
	// cart:
	//   *pickle.List of 2
	//     *pickle.Tuple of 2
	//       pickle.Int 1
	//       pickle.Str apple
	//     *pickle.List again
}

// ExampleObject_Attributes changes an attribute and writes the object back.
func ExampleObject_Attributes() {
	v, err := pickle.Decode([]byte(session), pickle.DecodeOptions{})
	if err != nil {
		panic(err)
	}
	attributes := v.(*pickle.Object).Attributes()
	attributes.Set(pickle.Str("user"), pickle.None{})
	attributes.Set(pickle.Str("seen"), &pickle.Set{Items: []pickle.Value{pickle.Int(1)}})
	data, err := pickle.Append(nil, v, pickle.DefaultProtocol)
	if err != nil {
		panic(err)
	}
	seen, err := pickle.FindAttribute(data, "seen")
	fmt.Println(seen.(*pickle.Set).Items, err)
	// Output: [1] <nil>
}

// ExampleUnmarshalOptions reads a str of Python 2, which was written in
// Latin-1.
func ExampleUnmarshalOptions() {
	data := []byte("S'se\\xf1or'\n.")
	var text string
	options := pickle.UnmarshalOptions{DecodeOptions: pickle.DecodeOptions{Python2: pickle.Python2Latin1}}
	fmt.Println(pickle.Unmarshal(data, &text, options), text)

	var bytes []byte
	fmt.Println(pickle.Unmarshal(data, &bytes, pickle.UnmarshalOptions{}), bytes)
	// Output:
	// <nil> señor
	// <nil> [115 101 241 111 114]
}
