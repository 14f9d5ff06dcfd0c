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
	if err := pickle.Unmarshal([]byte(session), &s, nil); err != nil {
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
	err = pickle.Unmarshal(data, &back, &r)
	fmt.Println(*back[0], err)
	// Output:
	// shop Line class
	// {apple 2} <nil>
}
