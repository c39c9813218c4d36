def home():
    return "c:"
