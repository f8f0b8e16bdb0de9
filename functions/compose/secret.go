package compose

import "encoding/base64"

// A Lookup is what is known about a Secret that was asked for.
type Lookup struct {
	// Answered says that it was looked up. Until then nothing is known.
	Answered bool

	// Data of the Secret. Nil when it does not exist.
	Data map[string][]byte
}

// LookUpSecret returns what is known about the Secret that was asked for by a name of Output.Requires.
func LookUpSecret(in Input, name string) Lookup {
	found, answered := in.Required[name]
	l := Lookup{Answered: answered}
	if len(found) > 0 {
		l.Data = SecretData(found[0])
		if l.Data == nil {
			l.Data = map[string][]byte{}
		}
	}
	return l
}

// SecretData returns what a Secret holds, or nil. What is not base64 is left out: the API server takes nothing else.
func SecretData(secret *Resource) map[string][]byte {
	encoded := secret.Object("data").fields()
	if len(encoded) == 0 {
		return nil
	}
	data := make(map[string][]byte, len(encoded))
	for key, text := range encoded {
		if b, err := base64.StdEncoding.DecodeString(text.GetStringValue()); err == nil {
			data[key] = b
		}
	}
	return data
}
