document.title = "Garden";
