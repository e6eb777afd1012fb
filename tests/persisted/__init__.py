"""What the product keeps outside its code, as commit 6b5117f wrote it: it stays readable."""
