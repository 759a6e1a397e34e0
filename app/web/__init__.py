"""What the API and the page share: who asks and may what, pages of lists, problems, what surrounds a request."""
