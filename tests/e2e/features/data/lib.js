function shout(word) { return word.toUpperCase() + "!"; }
