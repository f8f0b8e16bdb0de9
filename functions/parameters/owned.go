package parameters

// owned returns why a setting is the system's.
func owned(string) (reason string, isOwned bool) { return "", false }
